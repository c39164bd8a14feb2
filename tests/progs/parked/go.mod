module gospect.test/parked

go 1.18
