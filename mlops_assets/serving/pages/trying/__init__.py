"""`/pages/USE_CASE/try`: files, or rows of a form, answered as the API answers them."""
