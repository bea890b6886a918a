/** One seed, one run. What a run finds is an error with the seed in it; rejections that nobody looks after belong to it. */
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
  } catch (error) {
    const what =
      error instanceof Violation
        ? error.message
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error);
    throw new Error(`seed ${options.seed}: ${what}\n  repeat with: ${command(options)}`, { cause: error });
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  return { trace: world.trace.digest, counts: world.counts, diskCalls: world.diskCalls, world };
}

function command({ seed, crashAtCalls, cut = 0 }: WorldOptions): string {
  const crash = crashAtCalls === undefined ? '' : ` --crash ${crashAtCalls.join(',')} --cut ${cut}`;
  return `node test/sim/run.ts --seed ${seed}${crash} --trace`;
}
