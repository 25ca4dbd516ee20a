import type { Translated } from '@/feature'
import type en from './en'

const ru: Translated<typeof en> = {
  title: 'Доставки',
  one: 'Доставка',
  statuses: { accepted: 'Принята', processed: 'Обработана', ignored: 'Без действий' },
  fields: {
    status: 'Состояние',
    event: 'Событие',
    action: 'Действие',
    repository: 'Репозиторий',
    sender: 'Отправитель',
    reason: 'Итог',
    duplicates: 'Повторы',
    replays: 'Переигрывания',
    received: 'Получена',
    processed: 'Обработана',
    sha256: 'SHA-256',
  },
  empty: { title: 'Доставок нет', text: 'Добавьте вебхук в репозиторий, и всё, что пришлёт GitHub, будет записано здесь.' },
  payload: 'Содержимое',
  payloadGone: 'Содержимое больше не хранится.',
  copyId: 'Скопировать номер доставки',
  replay: {
    action: 'Переиграть',
    ask: 'Переиграть эту доставку?',
    help: 'Новое задание обработает её содержимое ещё раз. Уже начатый ею запуск дважды не начнётся.',
    possible: 'Пробный прогон: содержимое на месте, задание будет поставлено.',
    done: 'Переиграно: задание {id}',
  },
}
export default ru
