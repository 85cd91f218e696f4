-- The features of `features.sql` in Spark's SQL, all habits of a file as windows, so that the files are read once.
-- A line has no number in Spark: an id that rises with it stands in.
CREATE OR REPLACE TEMPORARY VIEW rows AS
SELECT
    element_at(split(file_path, '/'), -1) AS file,
    monotonically_increasing_id() AS line,
    concat(nullif(trim(id), ''), '|', CAST(trim(safra_abertura) AS BIGINT)) AS account,
    substring(nullif(trim(cidade), ''), 1, 13) AS home,
    try_cast(replace(replace(trim(limite_total), '.', ''), ',', '.') AS DOUBLE) AS limit_total,
    try_cast(replace(replace(trim(limite_disp), '.', ''), ',', '.') AS DOUBLE) AS limit_available,
    try_cast(replace(replace(trim(valor), '.', ''), ',', '.') AS DOUBLE) AS amount,
    nullif(trim(cidade_estabelecimento), '') AS merchant_city,
    nullif(trim(pais_estabelecimento), '') AS merchant_country
FROM text
DISTRIBUTE BY file;

CREATE OR REPLACE TEMPORARY VIEW habits AS
SELECT
    *,
    count(*) OVER (PARTITION BY file) AS file_rows,
    avg(amount) OVER (PARTITION BY file) AS file_mean,
    stddev_samp(amount) OVER (PARTITION BY file) AS file_deviation,
    count(*) OVER (PARTITION BY file, amount) AS same_amount,
    count(*) OVER (PARTITION BY file, merchant_city) AS same_city,
    round(amount * 100) % 100 AS cents,
    round(2 * log2(1 + abs(amount))) AS size
FROM rows;

CREATE OR REPLACE TEMPORARY VIEW rounded AS
SELECT
    *,
    CASE WHEN amount IS NULL THEN 0 WHEN amount % 100 = 0 THEN 7 WHEN amount % 50 = 0 THEN 6 WHEN amount % 10 = 0 THEN 5
         WHEN amount % 5 = 0 THEN 4 WHEN amount % 1 = 0 THEN 3 WHEN cents % 10 = 0 THEN 2 ELSE 1
    END AS roundness
FROM habits;

CREATE OR REPLACE TEMPORARY VIEW model_input AS
SELECT
    file,
    line,
    account,
    limit_available / nullif(limit_total, 0) AS limit_free,
    merchant_city AS city,
    merchant_city = home AS at_home,
    merchant_country <> 'BR' AS abroad,
    amount,
    ln(1 + abs(amount)) AS amount_log,
    cents,
    roundness,
    (amount - file_mean) / nullif(file_deviation, 0) AS amount_deviation,
    CASE WHEN amount IS NULL THEN 1 ELSE same_amount END AS same_amount,
    CASE WHEN merchant_city IS NOT NULL THEN same_city / file_rows END AS same_city_share,
    concat(account, '|', merchant_city) AS account_city,
    concat(account, '|', CAST(size AS INT)) AS account_size,
    concat(merchant_city, '|', roundness) AS city_roundness,
    cents + 100 * size AS cents_size
FROM rounded;
