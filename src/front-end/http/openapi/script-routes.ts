/** Describes the calls of scripts. */
import { Type } from 'typebox';
import { countMember, listMember, optionalMember, revPart } from '../../../protocol/reply-schemas/parts.ts';
import { sectionReplies } from '../../../protocol/reply-schemas/section-replies.ts';
import type { ErrorCode } from '../../../protocol/errors.ts';
import { callBody, evalBody } from '../parse/script-call.ts';
import { dataFailures, idempotencyFailures, jsonReply, writeFailures, type DescribedRoute } from './described.ts';
import { idempotencyKey } from './rest-calls.ts';
import { schemaOf } from './schemas.ts';

const result = {
  Result: Type.Unknown({ description: 'What the script returned; null for undefined.' }),
  Log: listMember(Type.String(), 'What it wrote with `console.log`.'),
  Tries: countMember('How often it ran because something had changed.'),
  CPUMs: Type.Number({ minimum: 0, description: 'CPU time of its runs, in milliseconds.' }),
};
const reply = Type.Object({
  ...result,
  Version: optionalMember(countMember('Of the stored script.')),
  ...revPart,
});

/** What its operations may fail with. */
const ofOperations = (['guard', 'set', 'counter', 'ack', 'nack', 'limit', 'enqueue'] as const).flatMap(
  (name) => sectionReplies[name].failures ?? [],
);
const failures: readonly ErrorCode[] = [
  ...dataFailures,
  ...writeFailures,
  ...idempotencyFailures,
  ...ofOperations,
  'conflict',
  'script_refused',
  'script_failed',
  'script_timeout',
  'too_many_waiters',
  'not_found',
];

export const scriptRoutesDescribed: Readonly<Record<string, DescribedRoute>> = {
  'POST /db/:acc/call/:id': {
    id: 'script_call',
    tag: 'script',
    summary: 'Runs a stored script, and commits what it does as one batch.',
    parameters: [idempotencyKey],
    body: { 'application/json': { name: 'ScriptCall', schema: schemaOf(callBody) } },
    replies: { 200: jsonReply('ScriptResult', schemaOf(reply)) },
    failures: [...new Set(failures)],
    scopes: ['script'],
  },
  'POST /db/:acc/eval': {
    id: 'script_eval',
    tag: 'script',
    summary: 'Runs a script that is not stored.',
    parameters: [idempotencyKey],
    body: { 'application/json': { name: 'ScriptEval', schema: schemaOf(evalBody) } },
    replies: { 200: jsonReply('ScriptResult', schemaOf(reply)) },
    failures: [...new Set(failures)],
    scopes: ['script'],
  },
};
