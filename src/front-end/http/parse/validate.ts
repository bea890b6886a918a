/**
 * Checks a body against its schema, and says in our words what does not fit: `KVSet[1].Key: expected a string of 1 to
 * 512 bytes, got 7`.
 */
import type { ErrorObject } from 'ajv';
import type { Static, TSchema } from 'typebox';
import { nearestName } from '../../../shared/closest-name.ts';
import { refuseField } from '../../../protocol/refusal.ts';
import { shown } from '../../../shared/text.ts';
import { checkOf } from '../../schema-checks.ts';

/** @returns a check that returns a fitting body with its type, and refuses any other (400). */
export function validator<Schema extends TSchema>(schema: Schema): (body: unknown, root?: string) => Static<Schema> {
  const check = checkOf(schema, 'first-error');
  return (body, root = '') => {
    const fits = check();
    if (!fits(body)) refuseShape(fits.errors ?? [], root);
    return body;
  };
}

function refuseShape(errors: readonly ErrorObject[], root: string): never {
  // If no branch of a union fits, the last error is the union's own.
  const error = errors.at(-1);
  if (error === undefined) return refuseField(root, 'not of the shape that was expected');
  const path = root + fieldPath(error.instancePath);
  const schema = error.parentSchema ?? {};
  const properties: Readonly<Record<string, { readonly expected?: string }>> = schema['properties'] ?? {};
  if (error.keyword === 'additionalProperties') {
    const unknown = String(error.params['additionalProperty']);
    const meant = nearestName(unknown, Object.keys(properties));
    const hint = meant === undefined ? `known are ${Object.keys(properties).join(', ')}` : `did you mean ${meant}?`;
    return refuseField(member(path, unknown.slice(0, 64) || '""'), `unknown field; ${hint}`);
  }
  if (error.keyword === 'required') {
    const missing = String(error.params['missingProperty']);
    return refuseField(member(path, missing), `missing; expected ${properties[missing]?.expected ?? 'a value'}`);
  }
  const expected: unknown = schema['expected'];
  const want = typeof expected === 'string' ? expected : (error.message ?? 'something else');
  return refuseField(path === '' ? 'body' : path.replace(/\.$/, ''), `expected ${want}, got ${shown(error.data)}`);
}

function member(path: string, name: string): string {
  return path === '' || path.endsWith('.') ? path + name : `${path}.${name}`;
}

/** Rewrites a JSON pointer for messages: `/KVSet/1/Key` → `KVSet[1].Key`. */
function fieldPath(pointer: string): string {
  let path = '';
  for (const escaped of pointer.split('/').slice(1)) {
    const part = escaped.replaceAll('~1', '/').replaceAll('~0', '~');
    path = /^\d+$/.test(part) ? `${path}[${part}]` : member(path, part);
  }
  return path;
}
