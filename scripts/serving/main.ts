import { type Configured, runConfigured, serviceArguments } from '../../shared/service-main.ts'
import { Serving } from './serving.ts'

let serving: Serving | undefined

await runConfigured('serving', serviceArguments(), start, ({ isRefused }) => {
  if (!isRefused) serving?.readTokenAgain()
})

async function start({ paths, config, log }: Configured): Promise<Serving> {
  serving = await Serving.start({ paths, config, env: process.env, log, isSupervised: true })
  return serving
}
