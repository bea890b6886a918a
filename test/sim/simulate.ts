/** Runs one seed. Violations become errors that name the seed, and so do unhandled rejections. */
import { checkQueues } from '../support/checkers/queue-ledger.ts';
import { checkAccounts } from '../support/checkers/account-ledger.ts';
import { checkShares } from '../support/checkers/share-ledger.ts';
import { checkWitness } from '../support/checkers/witness-checker.ts';
import { keepRun } from './keep-run.ts';
import { Violation, type Counts } from './trace.ts';
import { World, type WorldOptions } from './world.ts';

export interface Outcome {
  readonly trace: string;
  readonly counts: Counts;
  /** The disk calls of each life. */
  readonly diskCalls: readonly number[];
  readonly world: World;
}

export async function simulate(options: WorldOptions): Promise<Outcome> {
  const world = new World(options);
  const onRejection = (error: unknown): void => world.failed(error);
  process.on('unhandledRejection', onRejection);
  try {
    await world.run();
    checkHistory(world);
  } catch (error) {
    const what =
      error instanceof Violation
        ? error.message
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error);
    const kept = await keepRun(options, world);
    const message = `seed ${options.seed}: ${what}\n  kept for a look: ${kept}\n  repeat with: ${command(options)}`;
    throw new Error(message, { cause: error });
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  return { trace: world.trace.digest, counts: world.counts, diskCalls: world.diskCalls, world };
}

/**
 * Replays the whole history by a model that explains every answer and every revision (see replay-by-log.ts). The model
 * has one clock, so runs in which the clock was set back are not replayed.
 */
function checkHistory(world: World): void {
  if (world.counts.get('clock set back') > 0) return;
  const { operations, restarts } = world.clients;
  const log = world.timeline.log();
  // The server's clock has whole milliseconds.
  const { violations, compared, unknown } = checkWitness({ operations, restarts, log }, { clockToleranceMs: 1 });
  world.counts.add('answer compared with the model', compared);
  world.counts.add('grant compared with an earlier one', world.clients.waitOrder.compared);
  world.counts.add('commit of an operation that was never answered', unknown.happened);
  const ledger = checkQueues({ operations, restarts }, { clockToleranceMs: 1, settled: true });
  for (const [what, count] of Object.entries(ledger.counts)) world.counts.add(`queues: ${what}`, count);
  const shares = checkShares({ operations, restarts }, { clockToleranceMs: 1 });
  for (const [what, count] of Object.entries(shares.counts)) world.counts.add(`shared locks: ${what}`, count);
  const whole = checkAccounts({ operations });
  for (const [what, count] of Object.entries(whole.counts)) world.counts.add(`whole accounts: ${what}`, count);
  const faults = [...violations, ...ledger.violations, ...shares.violations, ...whole.violations];
  if (faults.length > 0)
    throw new Violation(
      faults
        .slice(0, 20)
        .map(({ message }) => message)
        .join('\n  '),
    );
}

function command({ seed, crashAtCalls, failAtCall, cut = 0 }: WorldOptions): string {
  const crash = crashAtCalls === undefined ? '' : ` --crash ${crashAtCalls.join(',')} --cut ${cut}`;
  const fail = failAtCall === undefined ? '' : ` --fail ${failAtCall.code}:${failAtCall.call}`;
  return `node test/sim/run.ts --seed ${seed}${crash}${fail} --trace`;
}
