"""Work cut into shards: mapped over processes or machines, watched while it runs, foretold before; texts for people."""
