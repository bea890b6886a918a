/** The tests in which the two ways of a request differ most, once more over Node's server alone; torture runs all. */
process.env['DRAGONLOCK_FAST_LANE'] = 'off';
await import('../connections.test.ts');
await import('../pipelining.test.ts');
await import('../sockets/pipelines.test.ts');
