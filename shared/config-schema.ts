import { FILE_KEYS } from './config-layers.ts'
import type { ValueSchema } from './setting-kinds.ts'
import { SETTINGS } from './settings.ts'

interface PropertySchema extends ValueSchema {
  readonly description: string
  readonly default?: string | number
}

/** The JSON Schema of the configuration file, made from the settings: an editor completes and checks by it. */
export function configSchema() {
  const properties = [...FILE_KEYS].map(([name, { key, isPath }]): [string, PropertySchema] => {
    const setting = SETTINGS[key]
    const { schema, variable, meaning, default: text } = setting
    if (isPath) return [name, { type: 'string', description: `a file that holds ${key}` }]
    const isNumber = schema.type !== 'string' && /^\d+$/.test(text)
    return [
      name,
      {
        ...schema,
        description: `${meaning} (${variable}): ${setting.allowed}`,
        default: isNumber ? Number(text) : text,
      },
    ]
  })
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'countersink.json',
    description: 'The configuration of countersink. Variables of the environment go before it.',
    type: 'object',
    properties: { $schema: { type: 'string' }, ...Object.fromEntries(properties) },
    additionalProperties: false,
  } as const
}
