import { testEngine } from './engine-contract.ts';
import { engineOver, ModelEngine } from './model-engine.ts';

const model = new ModelEngine(20, {
  standbyDelay: () => 0,
  cancelsAfter: () => undefined,
  failsWith: () => undefined,
  after: (_delayMs, run) => void setImmediate(run),
});
const engine = engineOver((statement) => new Promise((resolve) => model.run(statement, resolve)));

testEngine('model', () => engine);
