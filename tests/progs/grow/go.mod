module gospect.test/grow

go 1.18
