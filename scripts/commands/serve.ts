import { resolve } from 'node:path'
import { configOf } from '../../shared/config.ts'
import { LiveConfig } from '../../shared/config-reload.ts'
import { runService } from '../../shared/lifecycle.ts'
import { createLog } from '../../shared/log.ts'
import { statePaths } from '../../shared/paths.ts'
import { SERVE_DEFAULT, SERVE_FORM } from '../../shared/serve-address.ts'
import { SETTINGS } from '../../shared/settings.ts'
import { command } from '../command-table/index.ts'
import { Serving } from '../serving/index.ts'
import { environment, LOG_OPTIONS, LOG_SETTINGS, variablesOf } from '../terminal/index.ts'

export const serve = command({
  name: 'serve',
  isService: true,
  summary: 'serve a page, an API and metrics over HTTP, to read',
  about: `Answers programs and browsers until Ctrl-C: a page at /, an API at /api/v1/ (described by
/api/v1/openapi.json), metrics for Prometheus at /metrics, /readyz and /livez. Everything is read, nothing
changed; it works beside a service that runs, and tells what is known of one that does not. "up --serve"
runs it with the service.

Who is on this machine needs no password. At any other address one is demanded: as a bearer token, which
stands in the file that ${SETTINGS.serveTokenFile.variable} names.`,
  options: {
    listen: {
      ...{ kind: 'text', value: 'ADDRESS' },
      help: `${SERVE_FORM} (default: ${SETTINGS.serve.variable}, or ${SERVE_DEFAULT})`,
    },
    'token-file': { ...{ kind: 'file', value: 'FILE' }, help: 'holds the password' },
    ...LOG_OPTIONS,
  },
  exits: { 0: 'stopped in order', 3: 'the address is taken' },
  examples: [
    { line: 'countersink serve', what: `at http://${SERVE_DEFAULT}/` },
    { line: 'countersink serve --listen unix:/run/stats.sock', what: 'for a proxy beside it' },
  ],
  async run({ values }) {
    const tokenFile = absolute(values['token-file'])
    const settings = { listen: SETTINGS.serve, 'token-file': SETTINGS.serveTokenFile }
    const envOf = (listen: string | undefined): NodeJS.ProcessEnv => ({
      ...process.env,
      ...variablesOf(
        { ...values, listen, 'token-file': tokenFile },
        { ...settings, ...LOG_SETTINGS },
      ),
      // That file is the service's.
      [SETTINGS.metricsFile.variable]: '',
    })
    // What is typed wrongly is told first, whatever stands there or does not.
    configOf(statePaths(values.dir).dir, envOf(values.listen))
    const { paths, config: said } = environment(values.dir)
    const env = envOf(values.listen ?? (said.serve === '' ? SERVE_DEFAULT : undefined))
    const live = new LiveConfig(() => configOf(paths.dir, env))
    const log = createLog('serving', undefined, () => live.config)
    const options = { paths, config: live.config, env, log, isSupervised: false }
    // What is wrong with it is told as of any command.
    const serving = await Serving.start(options)
    return runService(
      log,
      false,
      async () => serving,
      () => {
        const reload = live.reload()
        log[reload.isRefused ? 'warn' : 'notice'](reload.text)
        if (!reload.isRefused) serving.readTokenAgain()
      },
    )
  },
})

function absolute(path: string | undefined): string | undefined {
  return path === undefined ? undefined : resolve(path)
}
