module gospect.test/locks

go 1.18
