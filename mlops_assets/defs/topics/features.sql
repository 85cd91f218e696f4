-- What the model sees: the text itself (`training.texts`). Neither folder nor name of a file is among the features.
CREATE VIEW model_input AS
SELECT file, line, text
FROM rows;
