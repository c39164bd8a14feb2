module gospect.test/shutdown

go 1.18
