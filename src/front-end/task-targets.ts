/** Refuses tasks whose requests would go where no task may send any. What a name leads to is judged when they run. */
import type { Batch } from '../protocol/operations/operations.ts';
import { refuse } from '../protocol/refusal.ts';
import type { TargetPolicy } from '../shared/target-policy.ts';

/** @throws Refusal 403 */
export function requireTargets({ tasks }: Batch, policy: TargetPolicy): void {
  if (tasks === undefined) return;
  for (const { key, definition } of tasks) {
    if (definition.target.kind !== 'http') continue;
    const url = new URL(definition.target.url);
    if (!policy.refuses(url)) continue;
    const where = `${JSON.stringify(url.hostname)} of the task ${JSON.stringify(key)}`;
    refuse('target_forbidden', `The host ${where} is not on the internet, and tasks.allow does not name it.`, {
      ID: key,
    });
  }
}
