module gospect.test/places

go 1.18
