-- What the model sees of each application. There is nothing to aggregate: a file is a table of unrelated applications.
CREATE VIEW model_input AS
SELECT
    file,
    line,
    age,
    annual_income,
    credit_score,
    loan_amount,
    loan_years,
    open_accounts,
    had_default,
    -- how heavy the loan is: yearly payment against income
    loan_amount / greatest(loan_years, 1) / nullif(annual_income, 0) AS burden
FROM rows;
