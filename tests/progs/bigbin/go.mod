module gospect.test/bigbin

go 1.18
