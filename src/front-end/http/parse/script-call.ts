/** `POST /db/:acc/call/:name` and `POST /db/:acc/eval`: their bodies, and the body that stores a script. */
import { Type } from 'typebox';
import { anyJson, closed, jsonText, keyField, listField, readKey } from '../../../protocol/operations/fields.ts';
import {
  idempotencySchema,
  readIdempotency,
  type IdempotencyOptions,
} from '../../../protocol/operations/idempotency.ts';
import { guardItem, guardSection } from '../../../protocol/operations/lock.ts';
import { refuse, refuseField } from '../../../protocol/refusal.ts';
import { checkSource } from '../../../protocol/operations/script.ts';
import type { ScriptCallRequest } from '../../../scripts/script-call.ts';
import { scriptArgsBytesMax, scriptKeysMax } from '../../../scripts/script-limits.ts';
import { integerMax, type Limits } from '../../../shared/limits.ts';
import { writeOutLists } from './batch.ts';
import { parseJson } from './json.ts';
import { refuseRepeatedMembers, valueMembers } from './repeated-members.ts';
import { validator } from './validate.ts';

/** Who calls, and what, is in the request. */
export type ScriptCallBody = Omit<ScriptCallRequest, 'account' | 'name'>;

const shared = {
  Args: Type.Optional(anyJson),
  Keys: Type.Optional(listField(keyField, 'a list of keys')),
  Guard: Type.Optional(listField(guardItem, 'a list of {"LockID","Lock"}')),
  CPU: Type.Optional(
    Type.Integer({ minimum: 1, maximum: integerMax, expected: 'an integer of at least 1: milliseconds of CPU time' }),
  ),
  ...idempotencySchema,
};
export const callBody = Type.Object(
  {
    Version: Type.Optional(
      Type.Integer({ minimum: 1, maximum: integerMax, expected: 'a version of the script: an integer of at least 1' }),
    ),
    ...shared,
  },
  { ...closed, expected: 'a call: an object such as {"Args":{"from":"a"}}' },
);
export const evalBody = Type.Object(
  { Source: Type.String({ minLength: 1, expected: 'the source of a script, a string' }), ...shared },
  { ...closed, expected: 'an object such as {"Source":"export default (tx) => tx.get(\'a\')"}' },
);

const checkCall = validator(callBody);
const checkEval = validator(evalBody);
const values = valueMembers(['Args']);
const lists: ReadonlySet<string> = new Set(['Keys', 'Guard', 'IdempotencyIDs']);

export interface ScriptCallGiven {
  readonly stored: boolean;
  readonly header: IdempotencyOptions | undefined;
  readonly clock: SharedArrayBuffer;
}

export function scriptCallBody(
  text: string,
  { stored, header, clock }: ScriptCallGiven,
  limits: Limits,
): ScriptCallBody {
  const json = text === '' && stored ? {} : parseJson(text);
  if (text !== '') refuseRepeatedMembers(text, json, values);
  writeOutLists(json, lists);
  const body: Partial<Type.Static<typeof callBody> & Type.Static<typeof evalBody>> = stored
    ? checkCall(json)
    : checkEval(json);
  const { Args = null, Keys = [], Version, Guard, CPU, Source } = body;
  if (Keys.length > scriptKeysMax)
    return refuseField('Keys', `expected at most ${scriptKeysMax} keys, got ${Keys.length}`);
  const keys = [...new Set(Keys.map((key, i) => readKey(key, `Keys[${i}]`)))];
  const context = { root: '', limits, clock, cronTasks: { left: 0 } };
  const idempotency = readIdempotency(body, context, header);
  return {
    args: jsonText(Args, 'Args', { bytes: scriptArgsBytesMax, name: 'the limit of Args' }),
    keys,
    ...(Source !== undefined && { source: checkSource(Source, 'Source') }),
    ...(Version !== undefined && { version: Version }),
    ...(Guard !== undefined && { guard: guardSection.read(body as never, context)! }),
    ...(CPU !== undefined && { cpuMs: CPU }),
    // A retry is answered with what was answered first, however the ids were given.
    ...(idempotency !== undefined && { idempotency: { ...idempotency, mode: 'replay' as const } }),
  };
}

/** Reads the body that stores a script. @throws Refusal */
export function readSource(text: string): string {
  if (text === '') return refuse('invalid', 'The body is empty; expected the source of a script');
  return checkSource(text, 'body');
}
