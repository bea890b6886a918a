/** The own generator: for dialogues, and for everything where wrk is not installed. In a process of its own. */
import { fork, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { LoadFailed, type LoadClock, type LoadOrder, type LoadResult } from './load-order.ts';
import type { FromOwnProcess } from './own-process.ts';

const processFile = path.resolve(import.meta.dirname, 'own-process.ts');
/** On top of the order's own seconds. */
const slackMs = 20_000;

export function runOwn(
  order: LoadOrder,
  clock: LoadClock,
  onSpawn: (process: ChildProcess) => void,
): Promise<LoadResult> {
  return new Promise((resolve, reject) => {
    const child = fork(processFile, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    onSpawn(child);
    const timer = setTimeout(() => child.kill('SIGKILL'), order.seconds * 1000 + slackMs);
    let result: LoadResult | undefined;
    child.on('message', (message: FromOwnProcess) => {
      if (message.kind === 'started') clock.started();
      else if (message.kind === 'failed') reject(new LoadFailed(message.message));
      else {
        clock.ended();
        ({ result } = message);
      }
    });
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      if (code === 0 && result !== undefined) resolve(result);
      else reject(new LoadFailed(`The load generator ended with ${code ?? signal} and without a result`));
    });
    child.send(order);
  });
}
