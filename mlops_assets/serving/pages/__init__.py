"""Pages for people: what the API and the commands tell, in a browser, at addresses of their own."""
