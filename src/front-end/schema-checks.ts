/**
 * Checks of data against schemas, by Ajv. It does not coerce, fill in or remove anything, and compiles each schema when it
 * is first needed. In the bundle the functions that Ajv makes of these schemas take the place of this file, so that no
 * server loads Ajv or compiles anything: see build/compiled-checks.ts.
 */
import { Ajv, type ValidateFunction } from 'ajv';
import type { Static, TSchema } from 'typebox';

/** How much a check tells of data that does not fit. */
export type Telling = 'first-error' | 'all-errors';

export interface RegisteredSchema {
  readonly schema: TSchema;
  readonly telling: Telling;
}

/** Of all modules that are loaded. */
export const registered: RegisteredSchema[] = [];

/** @returns what gives the schema's check. */
export function checkOf<Schema extends TSchema>(
  schema: Schema,
  telling: Telling,
): () => ValidateFunction<Static<Schema>> {
  registered.push({ schema, telling });
  let check: ValidateFunction<Static<Schema>> | undefined;
  return () => (check ??= new Ajv(checkOptions(telling)).compile<Static<Schema>>(schema));
}

/**
 * `verbose` only adds schema and data to errors; data that fit cost nothing more. The schemas are our own: to check them at
 * each start took longer than to compile them, so a test does.
 */
export function checkOptions(telling: Telling) {
  return {
    verbose: true,
    allErrors: telling === 'all-errors',
    allowUnionTypes: true,
    keywords: ['expected'],
    validateSchema: false,
    meta: false,
  };
}
