module gospect.test/otelctx

go 1.18
