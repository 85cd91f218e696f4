"""Tables that somebody has, wherever they lie and however they are packed: files, workbooks, databases, Kaggle."""
