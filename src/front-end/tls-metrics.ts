/** Until when the certificates are valid that the server shows. */
import { X509Certificate } from 'node:crypto';
import { Gauge, type Registry } from '@prometheus-io/client';
import type { InForce } from './in-force.ts';
import type { RefreshMetrics } from './process-metrics.ts';

export function addTlsMetrics(registry: Registry, refreshers: RefreshMetrics[], inForce: InForce): void {
  const expiry = new Gauge({
    name: 'dragonlock_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate in use ends, since the Unix epoch',
    labelNames: ['listener'],
    registers: [registry],
  });
  refreshers.push(() => {
    for (const listener of ['http', 'resp'] as const) {
      const { tls } = inForce.config[listener];
      if (tls !== undefined) expiry.set({ listener }, expiryOf(tls.cert));
    }
  });
}

/** A certificate is read once for each scrape, some dozens of microseconds. */
function expiryOf(pem: string): number {
  return Date.parse(new X509Certificate(pem).validTo) / 1000;
}
