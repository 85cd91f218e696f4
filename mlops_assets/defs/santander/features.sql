-- The two hundred numbers as they are: a file is a table of unrelated customers, and nobody knows what a column means.
-- Missing ones stay missing here; the imputer is part of each stored model, so that what it learned travels with it.
CREATE VIEW model_input AS
SELECT file, line, COLUMNS('^var_[0-9]+$')
FROM rows;
