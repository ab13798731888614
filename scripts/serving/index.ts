/**
 * What a service tells of itself, over HTTP: the page, an API, metrics.
 */

export { METRICS } from './metrics/metrics.ts'
export { openApi } from './open-api.ts'
export { Serving } from './serving.ts'
