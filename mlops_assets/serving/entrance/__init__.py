"""Who is let in: by what name a server is called, whose page asks, who may, how long, how patient; where it listens."""
