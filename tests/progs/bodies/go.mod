module gospect.test/bodies

go 1.18
