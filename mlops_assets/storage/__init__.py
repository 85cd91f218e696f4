"""Where everything lies that is read or computed: places, S3, files, and Delta tables with one partition a day."""
