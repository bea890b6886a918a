/** What this machine takes the map of machines to be. */
import { Gauge, type Registry } from '@prometheus-io/client';
import type { Machines } from './machines.ts';

export function addMachineMetrics(registry: Registry, { here, fingerprint }: Machines): void {
  const map = new Gauge({
    name: 'dragonlock_machines_info',
    help: 'Always 1; the labels name this machine and the map of all, which has to be the same everywhere',
    labelNames: ['here', 'map'],
    registers: [registry],
  });
  map.set({ here, map: fingerprint }, 1);
}
