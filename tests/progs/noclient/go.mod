module gospect.test/noclient

go 1.18
