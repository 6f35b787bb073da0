# Downloads the source distribution of a public Python package by its name, installs it into a fresh
# environment and runs the tests that the package brings along. Runs in the job's private workspace,
# which is removed afterwards; Hodei puts `set -euo pipefail` in front.

python="${PYTHON:-python3}"

echo "== download ${PACKAGE} ${VERSION}"
"$python" -m venv environment
environment/bin/python -m pip --quiet download \
    --no-deps --no-binary "$PACKAGE" --dest download "${PACKAGE}==${VERSION}"
ls download

echo "== install"
environment/bin/python -m pip --quiet install download/*.tar.gz pytest

echo "== test"
environment/bin/python -m pytest -q -p no:cacheprovider --pyargs "$PACKAGE"
