/** Describes the REST calls: all that can be told from their declarations is. */
import { Refusal } from '../../../protocol/refusal.ts';
import { accountId } from '../../../protocol/ids.ts';
import type { ErrorCode } from '../../../protocol/errors.ts';
import type { CallSpec, QueryParameter, QueryParameters } from '../../../protocol/operations/call.ts';
import { taskSchema } from '../../../protocol/operations/task-body.ts';
import {
  operationsOf,
  sectionNames,
  sections,
  type CallName,
  type Command,
} from '../../../protocol/operations/operations.ts';
import { importBody } from '../../../protocol/operations/account-lines.ts';
import { flowSchema } from '../../../protocol/operations/task-setting.ts';
import { queuePolicySchema } from '../../../protocol/operations/queue-policy.ts';
import { callReplies, type CallReply } from '../../../protocol/reply-schemas/call-replies.ts';
import { sectionReplies } from '../../../protocol/reply-schemas/section-replies.ts';
import { scopesOf } from '../../access.ts';
import { scopes, type Scope } from '../../config-schema.ts';
import { operationOfCall } from '../../request-metrics.ts';
import {
  dataFailures,
  idempotencyFailures,
  jsonReply,
  noContent,
  writeFailures,
  type DescribedParameter,
  type DescribedRoute,
} from './described.ts';
import { parameterText } from './parameter-texts.ts';
import { parameterSchema, schemaOf } from './schemas.ts';

type Spec = CallSpec<QueryParameters, Command>;

const bodies: Readonly<Record<NonNullable<Spec['body']>, NonNullable<DescribedRoute['body']>>> = {
  value: {
    'application/json': { description: 'The value: any JSON.' },
    'text/plain': { type: 'string', description: 'With `?as=text`: kept as a string.' },
  },
  source: {
    'text/javascript': { type: 'string', description: 'The source: a module with a default export.' },
  },
  lines: { 'application/json': { name: 'ImportPage', schema: schemaOf(importBody) } },
  policy: { 'application/json': { name: 'QueuePolicy', schema: schemaOf(queuePolicySchema) } },
  task: { 'application/json': { name: 'Task', schema: schemaOf(taskSchema) } },
  flow: { 'application/json': { name: 'Flow', schema: schemaOf(flowSchema) } },
};

export function describeCall(name: CallName, spec: Spec): DescribedRoute {
  const { onlyOneOf, withoutAny } = spec;
  const commands = commandsOf(spec);
  const needed = scopes.filter((scope) =>
    commands.some((command) => (scopesOf(command) as Partial<Record<Scope, boolean>>)[scope]),
  );
  const writes = needed.some((scope) => scope !== 'read');
  const inStore = writes && commands.every(({ kind }) => kind === 'batch');
  // A stored reply to a Dequeue would hold its messages once more.
  const takesId =
    inStore && commands.every((command) => command.kind === 'batch' && (command.dequeue ?? command.wipe) === undefined);
  // A call that was declared a moment ago may have no reply yet.
  const { reply, mayBeEmpty, failures = [] }: Partial<CallReply> = callReplies[name] ?? {};
  const codes = new Set<ErrorCode>([
    ...dataFailures,
    ...commands.flatMap((command) => failuresOf(command)),
    ...failures,
    ...(inStore ? writeFailures : []),
    ...(takesId ? idempotencyFailures : []),
  ]);
  const body = spec.body === undefined ? undefined : bodies[spec.body];
  return {
    id: operationOfCall(name),
    tag: name.split('.', 1)[0]!,
    summary: `${spec.summary}.`,
    parameters: [...parametersOf(name, spec.query), ...(takesId ? [idempotencyKey] : [])],
    ...(body !== undefined && { body }),
    ...(onlyOneOf !== undefined && { oneOf: { names: onlyOneOf, required: withoutAny !== undefined } }),
    replies: {
      200: jsonReply(replyName(name), schemaOf(reply ?? {})),
      ...(mayBeEmpty && { 204: noContent }),
    },
    failures: [...codes],
    scopes: needed,
  };
}

export const idempotencyKey: DescribedParameter = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'The call happens once under this id: a retry gets the first reply.',
  schema: { type: 'string', minLength: 1, maxLength: 512, pattern: '^[!-~]([ -~]*[!-~])?$' },
};

/** @param call the name of the call, for what its own parameters mean */
export function parametersOf(call: string, query: QueryParameters): DescribedParameter[] {
  return Object.entries(query).map(([parameter, spec]) => ({
    name: parameter,
    in: 'query',
    description: parameterText(call, parameter),
    ...(spec.required !== undefined && { required: true as const }),
    schema: parameterSchema(spec),
  }));
}

/** `kv.get` answers a `KvGetReply`. */
function replyName(name: CallName): string {
  return `${name
    .split('.')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')}Reply`;
}

function failuresOf(command: Command): readonly ErrorCode[] {
  if (command.kind !== 'batch') return [];
  return sectionNames.flatMap((name) => {
    const { scope, effect } = sections[name];
    const fails = operationsOf(command, name).some(
      (operation) => scope(operation) === 'condition' || effect(operation) !== 'read',
    );
    return fails ? (sectionReplies[name]?.failures ?? []) : [];
  });
}

/** Makes the commands of the shortest requests: with what is required alone, and with one parameter more. */
function commandsOf(spec: Spec): Command[] {
  const { query, withoutAny, onlyOneOf = [] } = spec;
  const required = Object.entries(query).filter(([, parameter]) => parameter.required !== undefined);
  const extras = Object.entries(query).map((entry) => [entry]);
  return [[], ...extras].flatMap((extra) => {
    const given = Object.fromEntries([...required, ...extra].map(([name, parameter]) => [name, sampleOf(parameter)]));
    if (withoutAny !== undefined && !onlyOneOf.some((name) => name in given)) return [];
    try {
      return [
        spec.command({
          account: accountId('a'),
          id: 'a',
          query: given,
          value: valueOf(spec),
          secret: () => '',
          newID: () => 'a',
        }),
      ];
    } catch (error) {
      if (error instanceof Refusal) return [];
      throw error;
    }
  });
}

function valueOf({ body }: Spec): string {
  if (body === 'task') return '{"definition":{"target":{"kind":"queue"}}}';
  return body === 'lines' ? '[{"kind":"sequence","key":"a","value":1}]' : '{}';
}

/** The smallest value. */
function sampleOf(parameter: QueryParameter): string | number {
  switch (parameter.type) {
    case 'integer':
    case 'number':
      return Math.max(parameter.min, 0);
    case 'seconds':
      return 1;
    case 'word':
      return parameter.word;
    case 'words':
      return parameter.words[0]!;
    case 'message':
      return '1-0';
    case 'string':
      return '"a"';
    default:
      return 'a';
  }
}
