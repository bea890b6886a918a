/** Describes the routes that are no REST calls of the table, by their methods and paths. */
import { Type } from 'typebox';
import { watchKeyBody, watchKeysBody, watchLockBody, watchPrefixBody } from '../../../protocol/operations/watch.ts';
import { sectionNames } from '../../../protocol/operations/operations.ts';
import { failureReplySchema } from '../../../protocol/reply-schemas/failure-reply.ts';
import {
  anyMember,
  countMember,
  flagMember,
  keyPart,
  listMember,
  optionalMember,
  revPart,
  sharedPart,
  textMember,
  versionPart,
  yesMember,
} from '../../../protocol/reply-schemas/parts.ts';
import { batchReplySchema, sectionReplies } from '../../../protocol/reply-schemas/section-replies.ts';
import { integerMax } from '../../../shared/limits.ts';
import type { ErrorCode } from '../../../protocol/errors.ts';
import { batchBody, batchLists } from '../parse/batch.ts';
import {
  dataFailures,
  idempotencyFailures,
  jsonReply,
  writeFailures,
  type DescribedReply,
  type DescribedRoute,
  type NamedSchema,
} from './described.ts';
import { idempotencyKey } from './rest-calls.ts';
import { scriptRoutesDescribed } from './script-routes.ts';
import { orOneItem, prefixSchema, schemaOf, type Schema } from './schemas.ts';

const anyKey = Type.Unknown({ description: 'The value: any JSON. Absent: the key was deleted.' });
const keyEvent = Type.Object({
  ...keyPart,
  ...versionPart,
  Value: optionalMember(anyKey),
  Deleted: optionalMember(yesMember('There is no such key any more.')),
  Expired: optionalMember(yesMember('It was deleted because its time was over.')),
  ...revPart,
});
const keyEventSchema: NamedSchema = { name: 'KeyEvent', schema: schemaOf(keyEvent) };
const lockStateSchema: NamedSchema = {
  name: 'LockState',
  schema: schemaOf(
    Type.Object({
      LockID: textMember('The lock.'),
      Version: countMember('Of this state; it is no fencing token.'),
      Locked: flagMember('Somebody holds it.'),
      Meta: optionalMember(anyMember),
      Since: optionalMember(countMember('When the holder took it, in milliseconds since the epoch.')),
      ...sharedPart,
    }),
  ),
};
const eventsSchema: NamedSchema = {
  name: 'PrefixEvents',
  schema: schemaOf(Type.Object({ Events: listMember(keyEvent, 'Changes in order.'), ...revPart })),
};

const batchSchema: NamedSchema = { name: 'Batch', schema: batchOf(schemaOf(batchBody)) };
const batchReply: NamedSchema = { name: 'BatchReply', schema: schemaOf(batchReplySchema) };
const batchItem: NamedSchema = {
  name: 'BatchItem',
  schema: schemaOf(
    Type.Object({
      Status: Type.Literal(200, { description: 'As of a request of its own.' }),
      ...batchReplySchema.properties,
    }),
  ),
};
const failedItem: NamedSchema = {
  name: 'FailedBatchItem',
  schema: schemaOf(
    Type.Object({
      Status: Type.Integer({ minimum: 204, maximum: 599, description: 'As of a request of its own.' }),
      ...Type.Partial(failureReplySchema).properties,
    }),
  ),
};

/** A list of operations may be given as its one item. */
function batchOf(schema: Schema): Schema {
  const properties = Object.entries(schema.properties ?? {}).map(
    ([name, member]) => [name, batchLists.has(name) ? orOneItem(member) : member] as const,
  );
  return { ...schema, minProperties: 1, properties: Object.fromEntries(properties) };
}

const batchFailures: ErrorCode[] = sectionNames.flatMap((name) => sectionReplies[name]?.failures ?? []);
const serverFailures: readonly ErrorCode[] = ['invalid', 'forbidden', 'internal'];
const operatorFailures: readonly ErrorCode[] = [...serverFailures, 'unauthorized', 'not_found'];

function server(id: string, summary: string, replies: DescribedRoute['replies']): DescribedRoute {
  return { id, tag: 'server', summary, replies, failures: serverFailures };
}

const status = (word: string, description: string): DescribedReply =>
  jsonReply(
    'ServerStatus',
    { type: 'object', required: ['Status'], properties: { Status: { type: 'string' } } },
    description.replace('…', word),
  );

const backupStatus = {
  State: textMember('What backups do; docs/backup.md lists the words.'),
  Writer: countMember('The number of this server as a writer of the repository.'),
  Shipped: countMember('The last revision in the backup.'),
  ShippedAtMs: countMember('When it was committed.'),
  CaughtUpAtMs: countMember('When everything durable was last in the backup.'),
  Gaps: countMember('Ranges of commits that never reached the backup.'),
  HeldBytes: countMember('Bytes of the journal that are not in the backup.'),
  Copying: flagMember('A copy is being made.'),
  CopyingRows: countMember('Rows that the copy that is being made has.'),
  CopyRev: countMember('The revision of the last copy.'),
  CopyAtMs: countMember('When it was done.'),
  CopiesTaken: countMember('Copies that were asked for and are begun.'),
  AdoptsTaken: countMember('Adoptions that were asked for and are done.'),
};
const asked = { Asked: countMember('Which request it is; done once the count of those taken has it.') };

function backups(id: string, summary: string, schema: Type.TObject): DescribedRoute {
  const replies = { 200: jsonReply(id === 'backups' ? 'BackupStatus' : 'BackupAsked', schemaOf(schema)) };
  const failures: readonly ErrorCode[] =
    id === 'backup_copy' ? [...operatorFailures, 'copy_in_progress'] : operatorFailures;
  return { id, tag: 'backups', summary, replies, failures, scopes: ['operator'] };
}

export const otherRoutes: Readonly<Record<string, DescribedRoute>> = {
  'POST /db/:acc': {
    id: 'batch',
    tag: 'batch',
    summary: 'Does any number of operations at once, all or nothing; or each batch of an array by itself.',
    parameters: [idempotencyKey],
    body: {
      'application/json': {
        oneOf: [ref(batchSchema), { type: 'array', minItems: 1, items: ref(batchSchema) }],
      },
    },
    replies: {
      200: {
        description: 'Done. For an array: what came of each batch, with its status.',
        content: {
          'application/json': {
            oneOf: [ref(batchReply), { type: 'array', items: { oneOf: [ref(batchItem), ref(failedItem)] } }],
          },
        },
      },
    },
    failures: [...dataFailures, ...batchFailures, ...writeFailures, 'duplicate_request', ...idempotencyFailures],
    scopes: ['read', 'write', 'force'],
  },
  ...scriptRoutesDescribed,
  'POST /watch/:acc': {
    id: 'watch',
    tag: 'watch',
    summary: 'Answers when a key, one of several keys, anything below a prefix, or who holds a lock has changed.',
    body: {
      'application/json': {
        oneOf: [
          ref({ name: 'WatchKey', schema: schemaOf(watchKeyBody) }),
          ref({ name: 'WatchKeys', schema: keysOrOne(schemaOf(watchKeysBody)) }),
          ref({ name: 'WatchPrefix', schema: schemaOf(watchPrefixBody) }),
          ref({ name: 'WatchLock', schema: schemaOf(watchLockBody) }),
        ],
      },
    },
    replies: {
      200: {
        description: 'The first change of a key; or all changes below the prefix.',
        content: { 'application/json': { oneOf: [ref(keyEventSchema), ref(eventsSchema), ref(lockStateSchema)] } },
      },
      204: { description: 'The keys have not changed.', content: {} },
    },
    failures: [...dataFailures, 'too_many_waiters', 'compacted'],
    scopes: ['read'],
  },
  'GET /watch/:acc': {
    id: 'watch_stream',
    tag: 'watch',
    summary: 'Streams every change below a prefix as server-sent events.',
    parameters: [
      { name: 'prefix', in: 'query', description: 'Only keys that begin with it.', schema: prefixSchema },
      {
        name: 'after',
        in: 'query',
        description: 'Begin after this revision; default: now.',
        schema: { type: 'integer', minimum: 0, maximum: integerMax },
      },
      {
        name: 'Last-Event-ID',
        in: 'header',
        description: 'The same; wins over `after`. Browsers send it when they connect again.',
        schema: { type: 'string', pattern: '^[0-9]{0,16}$' },
      },
    ],
    replies: {
      200: {
        description: 'Each commit is one event: `id` is its revision, each `data` line one `KeyEvent`.',
        content: { 'text/event-stream': { type: 'string' } },
      },
    },
    failures: [...dataFailures, 'too_many_waiters', 'compacted'],
    scopes: ['read'],
  },
  'GET /livez': server('livez', 'Says that the process runs.', { 200: status('live', 'It runs: `…`.') }),
  'GET /readyz': {
    ...server('readyz', 'Says whether data calls are served.', { 200: status('ready', 'They are: `…`.') }),
    failures: [...serverFailures, 'draining'],
  },
  'GET /version': server('version', 'Names the version, this start of the server, and Node’s version.', {
    200: jsonReply(
      'ServerVersion',
      schemaOf(
        Type.Object({
          Version: textMember('Of the server.'),
          Boot: textMember('This start of the server; also in the header Dragonlock-Boot.'),
          Node: textMember('Of Node.'),
        }),
      ),
    ),
  }),
  'GET /metrics': server('metrics', 'Tells metrics in Prometheus’ text format.', {
    200: { description: 'See docs/metrics.md.', content: { 'text/plain': { type: 'string' } } },
  }),
  'GET /openapi.json': server('openapi', 'Describes the API: this document.', {
    200: { description: 'OpenAPI 3.1.', content: { 'application/json': { type: 'object' } } },
  }),
  'GET /admin/backups': backups('backups', 'Tells the state of backups.', Type.Object(backupStatus)),
  'POST /admin/backups': backups('backup_copy', 'Asks for a copy.', Type.Object({ ...asked, ...backupStatus })),
  'POST /admin/backups/adopt': backups(
    'backup_adopt',
    'Lets this server go on with the repository of another.',
    Type.Object({ ...asked, ...backupStatus }),
  ),
};

function keysOrOne(schema: Schema): Schema {
  const { properties = {} } = schema;
  return { ...schema, properties: { ...properties, IDs: orOneItem(properties['IDs']!) } };
}

/** A named schema within another: the document replaces it by a reference. */
function ref(named: NamedSchema): Schema {
  return { ...named };
}
