/** One seed, one run. What a run finds is an error with the seed in it; rejections that nobody looks after belong to it. */
import { checkWitness } from '../support/checkers/witness-checker.ts';
import { keepRun } from './keep-run.ts';
import { Violation, type Counts } from './trace.ts';
import { World, type WorldOptions } from './world.ts';

export interface Outcome {
  readonly trace: string;
  readonly counts: Counts;
  /** Disk calls of each life. */
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
 * What the simulator knows better. A batch over several shards counts its lease from the turn of the lock's shard, some
 * messages before its commit (Till, TillMs), and names of several used ids those that one shard keeps. Whose each
 * revision is, starts and locks that were taken back from vanished clients included, the timeline has from the log.
 */
const knownBetter = /(Till|TillMs|TTLMs): expected a time|IDs: expected|belongs to nobody|is that of operation/;

/**
 * The whole history once more, by a model that explains every answer (see witness-checker.ts). It goes by one clock, so
 * that runs in which the clock was set back have to do without.
 */
function checkHistory(world: World): void {
  if (world.counts.get('clock set back') > 0) return;
  const { operations, restarts } = world.clients;
  const { violations, compared } = checkWitness({ operations, restarts });
  world.counts.add('answer compared with the model', compared);
  // When an operation that was never answered took effect, the checker guesses; the timeline has it from the log.
  const unanswered = new Set(operations.filter(({ answer }) => answer === undefined).map(({ id }) => id));
  const isGuess = (message: string): boolean => {
    const writer = /last written by operation (\d+) /.exec(message)?.[1];
    return writer !== undefined && unanswered.has(Number(writer));
  };
  const surely = violations.filter(
    ({ verdict, message }) => verdict === 'violation' && !knownBetter.test(message) && !isGuess(message),
  );
  if (surely.length > 0) throw new Violation(surely.map(({ message }) => message).join('\n  '));
}

function command({ seed, crashAtCalls, failAtCall, cut = 0 }: WorldOptions): string {
  const crash = crashAtCalls === undefined ? '' : ` --crash ${crashAtCalls.join(',')} --cut ${cut}`;
  const fail = failAtCall === undefined ? '' : ` --fail ${failAtCall.code}:${failAtCall.call}`;
  return `node test/sim/run.ts --seed ${seed}${crash}${fail} --trace`;
}
