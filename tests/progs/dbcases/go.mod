module gospect.test/dbcases

go 1.18
