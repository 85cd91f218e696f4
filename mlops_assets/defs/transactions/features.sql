-- Features of the use case `transactions`. Neither statement reads `category`.
-- VARCHAR columns of model_input are categories: they become integer codes by the vocabulary of the training rows.

-- What this account did in this month: one row a file.
CREATE VIEW file_features AS
SELECT
    file,
    -- who: two customers can share a ruined id, so the opening month belongs to the key; both are constant in a file
    any_value(account_id) || '|' || any_value(account_opened) AS account,
    count(*) AS file_rows,
    sum(amount) AS file_sum,
    avg(amount) AS file_mean,
    median(amount) AS file_median,
    stddev_samp(amount) AS file_deviation,
    max(amount) AS file_max,
    avg(limit_available / nullif(limit_total, 0)) AS file_limit_free,
    -- where the card is used
    any_value(home_city)[1:13] AS home,                                     -- merchant cities are cut to 13 characters
    avg((merchant_country <> 'BR')::INTEGER) AS file_abroad,
    count(DISTINCT merchant_city) AS file_cities,
    -- when
    count(DISTINCT date) AS file_days,
    avg((isodow(date) >= 6)::INTEGER) AS file_weekend,
    -- which kind of price
    avg((round(amount * 100)::BIGINT % 100 = 0)::INTEGER) AS file_whole,
    -- against the calendar of the state: the table is an enrichment of defs.yaml
    avg(holiday::INTEGER) AS file_holidays,
    avg(days_since_pay) AS file_since_pay
FROM rows
LEFT JOIN calendar USING (home_state, date)
GROUP BY file;

-- One row a transaction, beside the habits of its file. Repeats are counted by grouping and joining, not by windows:
-- a window sorts whole rows and costs five times as much. The model gets what a row is against its file, not the
-- aggregates as they are: those brought it nothing, and each column costs time at every row.
CREATE VIEW model_input AS
WITH
    -- in whole hundredths, for the remainder of a double costs several times that of an integer
    priced AS (SELECT *, round(amount * 100)::BIGINT AS hundredths FROM rows),
    repeats AS (SELECT file, amount, count(*) AS times FROM rows GROUP BY ALL HAVING count(*) > 1),
    visits AS (SELECT file, merchant_city, count(*) AS times FROM rows GROUP BY ALL)
SELECT
    file,
    line,
    account,
    limit_available / nullif(limit_total, 0) AS limit_free,
    -- where: the raw spelling tells card terminals apart
    merchant_city AS city,
    merchant_city = home AS at_home,
    merchant_country <> 'BR' AS abroad,
    -- how much: prices betray the trade, so the cents and the roundness matter more than the size
    amount,
    ln(1 + abs(amount)) AS amount_log,
    hundredths % 100 AS cents,
    CASE WHEN hundredths IS NULL THEN 0 WHEN hundredths % 10000 = 0 THEN 7 WHEN hundredths % 5000 = 0 THEN 6
         WHEN hundredths % 1000 = 0 THEN 5 WHEN hundredths % 500 = 0 THEN 4 WHEN hundredths % 100 = 0 THEN 3
         WHEN hundredths % 10 = 0 THEN 2 ELSE 1
    END AS roundness,
    -- against the habit of the account
    (amount - file_mean) / nullif(file_deviation, 0) AS amount_deviation,
    coalesce(repeats.times, 1) AS same_amount,                              -- subscriptions, fares
    visits.times / file_rows AS same_city_share,
    -- crosses for the linear model, which cannot find them by itself
    account || '|' || merchant_city AS account_city,
    account || '|' || round(2 * log2(1 + abs(amount)))::INTEGER AS account_size,
    merchant_city || '|' || roundness AS city_roundness,
    cents + 100 * round(2 * log2(1 + abs(amount))) AS cents_size
FROM priced
JOIN file_features USING (file)
LEFT JOIN repeats USING (file, amount)
LEFT JOIN visits USING (file, merchant_city);
