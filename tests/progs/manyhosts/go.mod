module gospect.test/manyhosts

go 1.18
