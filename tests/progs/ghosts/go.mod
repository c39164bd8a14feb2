module gospect.test/ghosts

go 1.18
