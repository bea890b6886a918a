/** Parses JSON bodies. */
import { refuse } from '../../../protocol/refusal.ts';

export function parseJson(text: string): unknown {
  if (text === '') return refuse('invalid', 'The body is empty; expected JSON');
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    return refuse('invalid', `The body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Returns whether the value is a JSON object, and not a list. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
