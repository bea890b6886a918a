/** What was thrown by a script, as its caller is told. */
import { beginning } from '../tx/run-log.ts';
import type { ScriptFault } from '../script-run.ts';
import { scriptName } from './virtual-machine.ts';

const messageBytesMax = 1024;
const nameBytesMax = 100;

/** The first place within the script; those in front of it are in `tx`. */
const place = new RegExp(`\\b${scriptName}:(\\d+):(\\d+)\\)?$`, 'm');

export function faultOf(name: string, message: string, stack: string): ScriptFault {
  const [, line, column] = place.exec(stack.slice(0, 16_384)) ?? [];
  return {
    name: beginning(name, nameBytesMax).toWellFormed(),
    message: beginning(message, messageBytesMax).toWellFormed(),
    ...(line !== undefined && { line: Number(line), column: Number(column) }),
  };
}
