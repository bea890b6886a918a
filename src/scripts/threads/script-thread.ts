/**
 * A thread that runs scripts: one endless task of Piscina. It serves the ports of all front ends, one run at a time in
 * the order of arrival, and answers a bundle of runs as a whole. The cells say which run is under way, and beat while it
 * goes on: a thread that stops beating is killed, and the front end whose run it was can tell.
 */
import { threadId } from 'node:worker_threads';
import { lowerThreadPriority } from '../../shared/thread-priority.ts';
import { cpuMs } from '../machine/cpu-time.ts';
import { ScriptMachine } from '../machine/script-machine.ts';
import { scriptBundleCpuMsMax } from '../script-limits.ts';
import type { ScriptOutcome } from '../script-run.ts';
import { ScriptCells } from './script-cells.ts';
import type { FromScriptThread, ScriptClientLink, ScriptThreadTask, ToScriptThread } from './script-messages.ts';

export default function serveScripts({ port, cells: memory }: ScriptThreadTask): Promise<never> {
  lowerThreadPriority();
  const cells = new ScriptCells(memory);
  const machine = new ScriptMachine(() => cells.add('beat', 1));
  let done = machine.prepare();
  port.on('message', ({ client, port: from }: ScriptClientLink) => {
    from.on('message', (message: ToScriptThread) => {
      done = done.then(async () => {
        cells.set('run', message.id);
        cells.set('client', client);
        const answer = await answerTo(message, machine, cells);
        cells.set('client', 0);
        from.postMessage(answer);
        await machine.prepare();
      });
    });
  });
  cells.set('thread', threadId);
  return new Promise(() => {});
}

async function answerTo(
  message: ToScriptThread,
  machine: ScriptMachine,
  cells: ScriptCells,
): Promise<FromScriptThread> {
  const { id } = message;
  if (message.kind === 'check') {
    const before = cpuMs();
    const fault = await machine.check(message.source);
    return { kind: 'checked', id, fault, cpuMs: cpuMs() - before };
  }
  const outcomes: ScriptOutcome[] = [];
  let usedMs = 0;
  for (const run of message.runs) {
    if (usedMs > scriptBundleCpuMsMax) break;
    cells.set('run', id + outcomes.length);
    const outcome = await machine.run(run);
    if (outcome === undefined) return { kind: 'ran', id, outcomes, unknown: run.sourceID };
    usedMs += outcome.cpuMs;
    outcomes.push(outcome);
  }
  return { kind: 'ran', id, outcomes, unknown: undefined };
}
