"""What a job file asks for, done: the only Ray in posedive. One module per kind, with run()."""
