/**
 * Kills the server while Redis clients send it transactions: what was acknowledged is there, what was not is there whole
 * or not at all, and every reply is one that a correct server could have given. `DRAGONLOCK_CRASH_ROUNDS` sets how often.
 */
import assert from 'node:assert/strict';
import { checkWitness } from '../support/checkers/witness-checker.ts';
import { trial } from '../support/crash-trial.ts';
import { RespRecorder } from '../support/resp-recorder.ts';

const rounds = Number(process.env['DRAGONLOCK_CRASH_ROUNDS'] ?? 2);
const transactionsOfLife = 300;

function layout(round: number) {
  return {
    shards: round % 2 === 0 ? 1 : 3,
    config: [
      'http: {threads: 2}',
      'resp: {listen: "127.0.0.1:0"}',
      'limits: {memtable_bytes_max: 1048576, body_bytes_max: 1048576, value_bytes_max: 524288}',
      `journal: {segment_bytes: 4194304, keep_bytes: ${2 ** 30}}`,
    ],
  };
}

trial(
  `kill -9 under Redis clients, ${rounds} times: the witness checker finds nothing wrong in what they saw`,
  import.meta.url,
  async ({ server, seed, random, t, keep }) => {
    const recorder = new RespRecorder(server, seed);
    for (let round = 0; round < rounds; round += 1) {
      await server.start(layout(round));
      recorder.serving();
      await recorder.runAndKill(transactionsOfLife / 2 + random.below(transactionsOfLife));
      await server.ended();
    }
    await server.start(layout(rounds));
    recorder.serving();
    const history = await recorder.history();
    keep('history.json', () => JSON.stringify(history));
    await server.stop();
    const { violations, operations, compared, unknown } = checkWitness(history);
    t.diagnostic(JSON.stringify({ operations, compared, ...unknown, unanswered: recorder.unanswered }));
    const found = violations.filter(({ verdict }) => verdict === 'violation').map(({ message }) => message);
    assert.deepEqual(found, []);
    assert(compared > rounds * 100 && recorder.unanswered > 0, 'the kills had something to lose');
  },
);
