/** A server does not check its own schemas at each start, so they are checked here. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import { configSchema, tokensSchema } from '../../src/front-end/config-schema.ts';
import { batchBody } from '../../src/front-end/http/parse/batch.ts';
import { watchKeyBody, watchKeysBody, watchLockBody, watchPrefixBody } from '../../src/protocol/operations/watch.ts';
import { queuePolicySchema } from '../../src/protocol/operations/queue-policy.ts';

const watch = { watchKeyBody, watchKeysBody, watchLockBody, watchPrefixBody };
const schemas = { configSchema, tokensSchema, batchBody, queuePolicySchema, ...watch };

for (const [name, schema] of Object.entries(schemas)) {
  test(`schemas: ${name} is a JSON schema, without unknown keywords or contradictions`, () => {
    const ajv = new Ajv({ strict: true, allowUnionTypes: true, keywords: ['expected'] });
    assert.equal(ajv.validateSchema(schema), true, ajv.errorsText());
    ajv.compile(schema);
  });
}
