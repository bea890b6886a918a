/** Bodies are parsed once, here. */
import { refuse } from '../../../protocol/refusal.ts';

export function parseJson(text: string): unknown {
  if (text === '') return refuse('invalid', 'The body is empty; expected JSON');
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    return refuse('invalid', `The body is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** A JSON object; a list is none. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
