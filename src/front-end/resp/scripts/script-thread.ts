/**
 * Runs the scripts of one front end. A script can keep a thread for as long as it likes, so it has one of its own, with
 * a lower priority, which the front end ends when it does not answer. After anything but an ordinary end of a script all
 * of its Lua begins anew: nobody knows what is left of it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../../shared/assert.ts';
import { lowerThreadPriority } from '../../../shared/thread-priority.ts';
import { commandTable } from '../command-table.ts';
import { errorText } from '../writer.ts';
import { LuaMachine } from './lua-machine.ts';
import { boundMemory, loadLua } from './lua-module.ts';
import type { FromScripts, ScriptRequest, ScriptResult, ScriptThreadData, ToScripts } from './script-messages.ts';
import { LuaRun } from './lua-run.ts';

/** Of all accounts together. */
const memoryBytesMax = 64 * 1024 * 1024;
/** It does not shrink by itself. */
const memoryKeptMax = 32 * 1024 * 1024;

assert(parentPort !== null, 'scripts run in a worker');
const port = parentPort;
const { limits } = workerData as ScriptThreadData;
boundMemory(memoryBytesMax);
// What Lua's module says when its memory is at its limit.
console.error = () => {};
lowerThreadPriority();
let machine: LuaMachine | undefined;
let done = Promise.resolve();
port.on('message', ({ request }: ToScripts) => {
  done = done.then(async () => {
    const answer: FromScripts = { kind: 'ran', result: await run(request) };
    port.postMessage(answer);
  });
});

async function run(request: ScriptRequest): Promise<ScriptResult> {
  machine ??= new LuaMachine(await loadLua());
  try {
    const result = new LuaRun(request, commandTable, limits).perform(machine);
    if (machine.memoryBytes > memoryKeptMax) machine = undefined;
    return result;
  } catch {
    machine = undefined;
    return {
      reply: errorText('ERR the script broke its Lua: it needs too much memory, or calls too deeply'),
      effects: [],
    };
  }
}
