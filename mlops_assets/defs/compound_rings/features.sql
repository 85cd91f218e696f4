-- What the reader measured in the picture, and nothing else that is known of the compound: the model answers from the
-- picture alone. The id and the path of the picture stay out; they tell in which order compounds were registered.
CREATE VIEW model_input AS
SELECT file, line, rings, open_rings, odd_faces, small_faces, bond, lines, ring_size, red, blue, green
FROM rows;
