"""What the workloads have in common in libraries with PyTorch's interface: models, and steps of training."""


def perceptron(nn, loaded, layers, activation):
    """A Sequential of the layers' weights and biases, with an activation between two of them."""
    linears = [loaded(nn.Linear(*weight.shape[::-1]), (weight, bias)) for weight, bias in layers]
    between = [layer for linear in linears for layer in (linear, activation)]
    return nn.Sequential(*between[:-1])


def lenet(nn, loaded, p):
    return nn.Sequential(
        loaded(nn.Conv2d(1, 6, 5, padding=2), p[:2]),
        nn.ReLU(),
        nn.MaxPool2d(2),
        loaded(nn.Conv2d(6, 16, 5), p[2:4]),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        loaded(nn.Linear(400, 120), p[4:6]),
        nn.ReLU(),
        loaded(nn.Linear(120, 84), p[6:8]),
        nn.ReLU(),
        loaded(nn.Linear(84, 10), p[8:]),
    )


def training(loss_of, model, optimizer, x, labels):
    """A step of an optimizer, which returns the loss and the gradients."""
    parameters = list(model.parameters())

    def step():
        optimizer.zero_grad()
        loss = loss_of(model(x), labels)
        loss.backward()
        optimizer.step()
        return (loss, *(p.grad for p in parameters))

    return step


def forward_and_backward(f, tensors, g=None):
    """f(*tensors) and back from the cotangent g, which returns the result and the gradients."""

    def step():
        for tensor in tensors:
            tensor.grad = None
        y = f(*tensors)
        y.backward(g)
        return (y, *(tensor.grad for tensor in tensors))

    return step


def ten_products(x):
    y = x
    for _ in range(10):
        y = y * x + 1
    return y
